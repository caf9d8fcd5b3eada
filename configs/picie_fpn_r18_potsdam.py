"""PiCIE with ResNet-18 on Potsdam in 3 classes.

Paper: Cho et al., PiCIE, CVPR 2021; Potsdam is not in it.
Command: python tools/train.py configs/picie_fpn_r18_potsdam.py
Not run by this project. The schedule and the sizes are those of COCO-Stuff.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/potsdam3.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=3))
