"""What goes over the wire: the public shapes, apart from the values inside.

They are written out rather than made from the model, so that a value can change its insides without
breaking whoever reads the API, and so that what is public is decided here and nowhere by accident.
Subjects are written ``component/replica``, times are seconds since the epoch.
"""
