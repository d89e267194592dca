"""One file a stage of the pipeline: the place where job files meet numerics, and the only one.

``data`` makes a CityPanel or a pair table, ``design`` says what a pair-year is, ``estimation`` runs the
passes, ``frames`` and ``output`` make tables and files of the results.
"""
