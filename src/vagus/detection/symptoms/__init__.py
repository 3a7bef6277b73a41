"""One file per way of being sick, each a pure function of what is remembered and of the time.

A rule reads only what one or two senses have seen of one symptom and says so in a
:class:`~vagus.detection.reading.Reading`. Rules never see each other's findings; the one thing they
share is :func:`~vagus.detection.symptoms.agreement.others_agree`, since little evidence of two
senses is worth more than much of one.
"""
