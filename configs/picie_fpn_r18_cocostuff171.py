"""PiCIE with ResNet-18 on COCO-Stuff-171.

Paper: Cho et al., PiCIE, CVPR 2021; the protocol of 171 classes is that of later work.
Command: python tools/train.py configs/picie_fpn_r18_cocostuff171.py
Expected (accuracy / mIoU): a user's report 34.5 / 2.7. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cocostuff171.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=171))
