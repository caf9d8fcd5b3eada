"""PiCIE on Cityscapes-27, trained on train (2,975 images) and evaluated on val (500).

Paper: Cho et al., PiCIE, CVPR 2021, which trains and evaluates on other splits.
Command: python tools/train.py configs/picie_fpn_r18_cityscapes-standard.py
Expected (accuracy / mIoU): a user's report 34.78 / 7.29. Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cityscapes27_standard.py',
    './_base_/schedules/picie_10e.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-3))
