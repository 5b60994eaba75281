"""``molexp report``: one HTML file that shows runs, and needs neither MolExp nor a network.

Begin with `command`. `gathering` reads the record into one document; `page` puts that into ``page.html``, with the styles of
``page.css`` and the scripts beside it, which know nothing but the document.
"""
