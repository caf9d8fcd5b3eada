"""PiCIE with 15 clusters on the 15 classes of stuff of COCO-Stuff-27; things are ignored.

Paper: Cho et al., PiCIE, CVPR 2021. The released evaluation of stuff alone does not renumber the
labels; this one does.
Command: python tools/train.py configs/picie_fpn_r18_cocostuff15-stuff.py
Expected: no published figure is known to this project. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cocostuff27_stuff15.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=15))
