"""The story, one short file per verb: where storage, engine and array functions meet."""
