"""PiCIE with 12 clusters on the 12 classes of things of COCO-Stuff-27; stuff is ignored.

Paper: Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/picie_fpn_r18_cocostuff12-things.py
Expected: no published figure is known to this project. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cocostuff27_things12.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=12))
