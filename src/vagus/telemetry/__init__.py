"""Step 1: sources -> evidence, and the memory of it.

A source reads one kind of place for as long as it is let, and hands batches on. Whatever its
targets do is evidence or a counted rejection; it never ends a source and never touches the others.
"""
