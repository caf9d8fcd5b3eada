"""PiCIE with ResNet-50 on COCO-Stuff-171.

Paper: Cho et al., PiCIE, CVPR 2021; the protocol of 171 classes is that of later work.
Command: python tools/train.py configs/picie_fpn_r50_cocostuff171.py
Expected (accuracy / mIoU): leaderboard 29.8 / 5.6. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r50.py',
    './_base_/datasets/cocostuff171.py',
    './_base_/schedules/picie_10e.py',
]

model = dict(decode_head=dict(num_clusters=171))
