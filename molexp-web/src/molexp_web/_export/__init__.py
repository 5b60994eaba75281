"""Write a static copy of a workspace's pages, for a folder or a bucket: it needs no server, and no MolExp to be read.

Begin in `export`. What a page may need is divided into parts: the documents of twenty runs, the values of one column of ten
thousand runs, the curves and logs of one run. A page loads the parts that it shows. A part's name has the hash of what is in
it, so whoever exports again writes only what is new, and a page that is open reads only that. The newest runs are in small
parts: one more run changes a few files, however many runs there are.

Where the page can reach the workspace, it reads the record itself (`site/record.js`), and shows what is new beside what the copy
has (`site/following.js`).
"""
