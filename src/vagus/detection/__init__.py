"""Step 2: signals -> findings. What is not normal, said as soon as the evidence allows it.

``reflexes`` looks at every batch of evidence as it arrives and knows the hard symptoms, one small
file each in ``symptoms/``; ``senses`` asks whether the evidence itself can be believed. Neither
does I/O nor reads a clock: time comes with the evidence, or as an argument, so that a recorded hour
gives the same findings when it is replayed.
"""
