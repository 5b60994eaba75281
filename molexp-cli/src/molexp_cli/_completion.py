"""``molexp completion``: the script by which a shell completes words."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from molexp_cli._output import write


class Shell(StrEnum):
    """A shell that can complete words."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


_BASH = r"""
_molexp_completion() {
  local line=${COMP_LINE:0:COMP_POINT} word=${COMP_WORDS[COMP_CWORD]} given before rest value
  local IFS=$'\n'
  COMPREPLY=()
  # Readline breaks words, but not within quotes: only what comes after the last : or =, or from the last @ on, is replaced.
  given=${line##*[[:space:]]} before=
  if [[ $word != [\"\']* ]]; then
    if [[ $COMP_WORDBREAKS == *:* && $COMP_WORDBREAKS == *=* ]]; then
      before=${given%"${given##*[:=]}"}
    fi
    rest=${given#"$before"}
    if [[ $rest == *@* && $COMP_WORDBREAKS == *@* ]]; then
      before+=${rest%@*}
    fi
  fi
  while read -r value; do
    value=${value%%$'\t'*}
    [[ -n $value ]] && COMPREPLY+=("${value#"$before"}")
  done < <(_MOLEXP_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="$line" "$1" 2>/dev/null)
  if [[ ${#COMPREPLY[@]} -gt 0 && ${COMPREPLY[0]} == *[/.:=] ]]; then
    compopt -o nospace
  fi
}
complete -o default -o bashdefault -F _molexp_completion molexp
"""

_ZSH = r"""
#compdef molexp
_molexp_completion() {
  local -a lines whole open whole_shown open_shown
  local line value
  lines=("${(@f)$(_MOLEXP_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS="${(j: :)words[1,CURRENT]}" "$words[1]" 2>/dev/null)}")
  [[ $words[CURRENT] == --*=* ]] && compset -P '*='
  for line in $lines; do
    value=${line%%$'\t'*}
    [[ -n $value ]] || continue
    if [[ $value == *[/.:=] ]]; then
      open+=("$value") open_shown+=("${line/$'\t'/  }")
    else
      whole+=("$value") whole_shown+=("${line/$'\t'/  }")
    fi
  done
  if (( ! $#whole && ! $#open )); then
    _files
    return
  fi
  (( $#whole )) && compadd -l -d whole_shown -a -- whole
  (( $#open )) && compadd -S '' -l -d open_shown -a -- open
  return 0
}
if [[ $funcstack[1] == _molexp ]]; then
  _molexp_completion "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -D; }
  compdef _molexp_completion molexp
fi
"""

_FISH = r"""
function __molexp_completion
    set -l found (_MOLEXP_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args _TYPER_COMPLETE_ARGS=(commandline -cp | string collect) molexp 2>/dev/null)
    if string length --quiet -- $found
        set -l option (commandline -ct | string match --regex -- '^--[^=]+=')
        printf '%s\n' "$option"$found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete --command molexp --no-files --arguments '(__molexp_completion)'
"""

_SCRIPTS = {Shell.BASH: _BASH, Shell.ZSH: _ZSH, Shell.FISH: _FISH}


def completion(
    shell: Annotated[Shell, typer.Argument(show_default=False, help="The shell to print the script for.")],
) -> None:
    """Print a script by which a shell completes commands, options and values: runs, experiments, logs, fields, profiles.

    Names come from the index as it is, so the shell need not wait. A name that is new or was removed since the last command
    that asked the workspace may be missing, or still there.

    Examples:
        molexp completion bash >> ~/.bashrc
        molexp completion zsh >> ~/.zshrc
        molexp completion fish > ~/.config/fish/completions/molexp.fish
    """
    write(_SCRIPTS[shell].strip())
