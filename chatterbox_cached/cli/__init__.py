"""The command ``chatterbox-cached``: one small file per verb, loaded when that verb is called."""
