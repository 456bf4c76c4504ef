"""An index over the places of a map: which of millions look most like what a clip sees.

A descriptor of every place lies in segments on disk, which are mapped into memory and searched by FAISS; a manifest in
SQLite says which segments belong to the index. Needs the extra ``index``: pip install 'cvlnet[index]'.
"""
