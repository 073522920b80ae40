"""The other trainings that podium is measured against, driven from outside.

Their code is no part of this repository: a bench is given the path of a script, loads its text, and calls its `main` as
the script itself would. What is provided from outside is the data (podium's own split), a stand-in for torchvision
where that is missing, and the seed; for a processor, a short list of substitutions, each with its reason.

    source.py      a script's text → a module; substitutions that must match
    vision.py      the stand-in for torchvision
    split.py       labelled images → the files that the scripts read
    drivers.py     airbench94_muon, airbench96_faster, hiverge's cifar10_speedrun: one run → accuracy and seconds
    cpu_port.py    airbench94_muon on a processor
    ours.py        podium's side, on a processor and on a GPU
    worker.py      a competitor in a process of its own, told to go through a pipe
    tables.py      figures and the table
"""
