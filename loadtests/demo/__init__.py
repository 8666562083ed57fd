"""The demo: the whole product against a fake platform with known ground truth (`clickbind demo`)."""
