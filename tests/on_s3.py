"""Choose what of the tests of the record and of workflows is played on S3 by the gate; `-m long` plays the rest.

What lies above a store asks it for its capabilities and nothing else, and those of S3 are those of the memory that has no
``append``, where everything is played. Hence S3 has to see each call of the store, not each thing that is done with an answer.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.repository import ROOT

PLACES = ("pair", "place")  # parameters that are no values

PLAYED = {
    "tests/record/test_adversity.py": ("test_a_field_that_is_a_numpy_scalar_is_plain",),
    "tests/record/test_archived.py": (
        "test_a_deleted_run_can_be_restored_until_it_is_freed",
        "test_a_restored_run_is_synced_as_one_that_was_never_deleted",
        "test_archived_runs_are_left_out_of_lists_unless_asked_for",
    ),
    "tests/record/test_brought_back.py": ("test_on_storage_without_folders_too",),
    "tests/record/test_bytes_gone.py": ("test_a_log_that_is_gone_is_an_error_and_hides_no_other",),
    "tests/record/test_capitals.py": ("test_of_two_that_make_it_at_once_one_is_refused",),
    "tests/record/test_capture.py": ("test_under_a_replaced_stdout_too",),
    "tests/record/test_catalog.py": (
        "test_rows_have_the_names_of_run_json",
        "test_what_you_do_to_the_origin_of_one_run_changes_no_other",
    ),
    "tests/record/test_catalog_faults.py": ("test_foreign_hints_are_ignored",),
    "tests/record/test_catalog_truth.py": ("test_rebuild_from_the_files_alone_gives_the_same",),
    "tests/record/test_commands.py": (
        "test_a_command_is_recorded_on_every_storage",
        "test_a_failure_comes_back_and_is_on_record",
        "test_it_runs_where_it_is_told_with_the_variables_that_it_is_given",
    ),
    "tests/record/test_comparing.py": (
        "test_a_run_does_not_differ_from_itself",
        "test_it_reads_the_files_and_needs_no_index",
    ),
    "tests/record/test_curves.py": (
        "test_a_run_that_goes_on_shows_what_was_logged_until_now",
        "test_a_task_that_is_tried_again_goes_on_in_the_same_file",
        "test_of_few_new_points_every_one_is_shown",
    ),
    "tests/record/test_data_assets.py": ("test_a_pipe_or_a_device_is_refused_as_one",),
    "tests/record/test_describing.py": (
        "test_a_run_is_described_from_one_reading",
        "test_only_what_ended_the_newest_attempt_is_its_error",
    ),
    "tests/record/test_downloading.py": (
        "test_a_stream_gets_the_bytes",
        "test_an_empty_file",
        "test_nothing_is_replaced_unless_it_is_wanted",
        "test_whoever_downloads_uses_it",
    ),
    "tests/record/test_edits.py": (
        "test_a_live_attempt_gets_the_request_with_its_next_beat",
        "test_repair_writes_run_json_again_from_a_claim",
    ),
    "tests/record/test_error_traces.py": ("test_the_traceback_is_saved_whatever_the_error_is_made_of",),
    "tests/record/test_errors.py": ("test_an_error_raised_for_real_survives_pickling",),
    "tests/record/test_fields.py": ("test_a_save_that_fails_leaves_the_version_before",),
    "tests/record/test_finding.py": ("test_a_reader_finds_what_the_run_found",),
    "tests/record/test_folders.py": (
        "test_a_sync_brings_the_files_and_reports_those_that_are_gone",
        "test_a_task_that_runs_elsewhere_has_its_folder_apart",
        "test_files_of_a_save_that_was_killed_are_not_mixed_with_a_later_one",
    ),
    "tests/record/test_following.py": ("test_lines_come_log_by_log_with_their_ends",),
    "tests/record/test_get_or_create.py": ("test_an_empty_mapping_is_an_opinion",),
    "tests/record/test_growing.py": (
        "test_an_item_that_cannot_be_encoded_is_left_out",
        "test_with_every_0_each_item_is_recorded",
    ),
    "tests/record/test_hints.py": ("test_the_hint_of_a_run_whose_creation_got_no_answer_is_not_withdrawn",),
    "tests/record/test_html.py": ("test_of_many_runs_the_newest_are_shown",),
    "tests/record/test_kinds.py": (
        "test_a_question_about_no_field_of_a_kind_imports_none",
        "test_queries_see_upgraded_fields",
    ),
    "tests/record/test_interruptions.py": ("test_ctrl_c_while_a_run_is_started_leaves_none_that_goes_on",),
    "tests/record/test_life_cycle.py": ("test_an_attempt_that_somebody_else_ended_stops",),
    "tests/record/test_lineage.py": ("test_it_follows_what_happens",),
    "tests/record/test_lineage_answers.py": ("test_everybody_finds_the_same_from_a_snapshot_too",),
    "tests/record/test_local_copies.py": ("test_what_is_gone_is_an_error_on_every_store",),
    "tests/record/test_logs.py": ("test_a_log_is_an_asset_whose_record_is_final_at_the_end",),
    "tests/record/test_malformed.py": ("test_foreign_hints",),
    "tests/record/test_metrics.py": ("test_after_ctrl_c_the_record_is_of_all_that_was_written",),
    "tests/record/test_names_and_ids.py": ("test_parameters_that_json_cannot_carry_are_named_and_nothing_is_written",),
    "tests/record/test_own_values.py": ("test_a_program_may_remember_something_of_an_asset_while_the_asset_is_there",),
    "tests/record/test_owners.py": ("test_a_lease_of_a_long_path_is_a_key",),
    "tests/record/test_past_runs.py": ("test_every_end_is_kept", "test_it_is_a_run_of_then"),
    "tests/record/test_pickling.py": ("test_every_handle_is_equal_after_the_journey",),
    "tests/record/test_points.py": (
        "test_names_of_few_points_take_no_memory_of_the_others",
        "test_points_are_a_sequence_of_what_was_logged_exactly",
    ),
    "tests/record/test_previews_of_files.py": (
        "test_an_image_is_known_by_its_bytes",
        "test_errors_checkpoints_data_and_tasks_are_described_and_shown",
        "test_of_what_grows_the_end_is_shown",
    ),
    "tests/record/test_profiles.py": (
        "test_a_derived_run_is_the_one_that_the_command_line_makes_defaults_included",
        "test_a_run_that_names_neither_profile_nor_override_looks_for_no_file",
    ),
    "tests/record/test_results.py": ("test_an_asset_is_a_reference_and_comes_back_as_the_asset",),
    "tests/record/test_run_identity.py": ("test_overrides_are_resolved_and_stored_with_the_run",),
    "tests/record/test_run_metrics.py": ("test_it_has_the_same_points_as_the_asset",),
    "tests/record/test_saving.py": ("test_bytes_can_be_read_in_every_way",),
    "tests/record/test_scope_edits.py": (
        "test_a_run_that_is_executed_stays_and_is_named",
        "test_what_somebody_else_deletes_at_the_same_time_is_deleted",
    ),
    "tests/record/test_shell.py": ("test_the_exit_code_is_known_where_sigchld_is_ignored",),
    "tests/record/test_skipping.py": ("test_output_is_captured_only_if_the_block_is_executed",),
    "tests/record/test_small_print.py": ("test_an_update_changes_what_is_given_and_keeps_the_rest",),
    "tests/record/test_sync.py": ("test_a_deletion_travels_and_the_run_is_hidden_all_the_time",),
    "tests/record/test_tables.py": ("test_runs_assets_metrics_and_comparisons_are_read_by_arrow",),
    "tests/record/test_totals.py": (
        "test_a_description_names_who_executes_runs_now",
        "test_a_description_of_a_workspace_says_what_is_in_it",
    ),
    "tests/record/test_unreadable.py": ("test_a_bad_experiment_blocks_no_other",),
    "tests/record/test_uses.py": (
        "test_an_import_of_an_asset_names_it_by_its_id",
        "test_what_somebody_else_ended_reads_on",
        "test_what_was_cancelled_reads_on",
    ),
    "tests/record/test_workspace.py": ("test_what_is_recorded_of_it",),
    "tests/record/test_writing.py": ("test_every_storage_takes_a_large_file",),
    "tests/workflow/runs/test_changed_inputs.py": ("test_what_another_run_made_anew_is_a_changed_input",),
    "tests/workflow/runs/test_contexts_of_runs.py": ("test_two_whose_tasks_have_one_name_both_count",),
    "tests/workflow/runs/test_graphs.py": ("test_the_runs_of_a_sweep_share_one_document",),
    "tests/workflow/runs/test_resuming.py": (
        "test_a_task_whose_checkpoint_cannot_be_read_is_executed_again",
        "test_numpy_arrays_are_restored_if_a_kind_of_them_is_installed",
        "test_what_it_cannot_carry_is_executed_again_and_says_why",
    ),
    "tests/workflow/runs/test_saved_outputs.py": ("test_a_resume_restores_what_a_kind_saved",),
    "tests/workflow/runs/test_task_records.py": (
        "test_an_outcome_is_in_the_store_when_the_next_task_starts",
        "test_an_outcome_is_soon_in_the_store_though_another_task_blocks_the_event_loop",
        "test_the_end_and_the_asset_say_the_same",
    ),
    "tests/workflow/runs/test_under_a_run.py": ("test_a_workflow_that_succeeds_ends_its_run_and_is_on_record",),
}
"""Of these modules, the tests that make all calls of the store, by the lines that they enter; the others only repeat some.

A module that is not here is played, by the first values of its tests. A test that calls the store in a new place is added.
"""


def later_values(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return all but the first item of each test, at each place where it is played: they say nothing more about S3."""
    seen, later = set(), []
    for item in items:
        varied = getattr(item, "callspec", None)
        test = (item.nodeid.partition("[")[0], *(varied.params.get(name) for name in PLACES if varied))
        if test in seen:
            later.append(item)
        seen.add(test)
    return later


def repeats_calls(item: pytest.Item) -> bool:
    """Tell whether others of the tests that are played on S3 make the calls of the store that this one makes."""
    played = PLAYED.get(item.path.relative_to(ROOT).as_posix())
    return played is not None and item.name.partition("[")[0] not in played
