"""The Jupyter server extension: a thin, typed door to the platform, and what is local.

====================================  =========================================================
``/kpl-lab/api/<route>``              a route of the platform (``routes.table`` lists which)
``GET /kpl-lab/local/folder?path=``   a code folder's form (``FolderView``)
``POST /kpl-lab/local/<resource>``    ``{"path", …fields of the create}``: packs a folder of the
                                      home, sends it and creates; with ``Prefer: respond-async``
                                      answers 202 with a ``JobView`` at once
``GET|DELETE /kpl-lab/local/jobs/N``  how far such a job is (``JobView``); gives it up
``GET /kpl-lab/local/usage``          what this server uses of its limits (``UsageView``)
``/kpl-lab/local/services/N/call``    one request to a deployed service; ``?path=/predict``
====================================  =========================================================

The browser never sees the platform's address or a token.
"""
