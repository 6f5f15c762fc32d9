"""The server of ``serve``: one reward model behind the interfaces of other servers."""
