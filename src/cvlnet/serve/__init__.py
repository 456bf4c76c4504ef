"""The server of `cvlnet serve`: drives tracked on one map, as a JSON API and a page that shows them.

Everything that is shown is a session: a drive that is tracked, from the server's disk, from an upload, or fed moment by
moment through the API. Needs the extra ``serve``: pip install 'cvlnet[serve]'.
"""
