"""One file per family of questions; `registry` lists them all."""
