"""Outputs of a job, one file each: the columns of its frame, its table, its figure and its sentences.

`engine.report.outputs.output` is the interface; `engine.report.outputs.registry` lists the outputs in the order in
which folder and page have them. A new output is a file and a line of that registry. Where it needs a frame that no
stage makes yet, a stage computes it and `engine.stages.frames` hands it over by name.
"""
