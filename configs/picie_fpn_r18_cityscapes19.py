"""PiCIE with ResNet-18 on Cityscapes in its own 19 classes, train to val.

Paper: Cho et al., PiCIE, CVPR 2021, which has 27 classes and other splits.
Command: python tools/train.py configs/picie_fpn_r18_cityscapes19.py
Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cityscapes19.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=19))
optim_wrapper = dict(optimizer=dict(lr=1e-3))
