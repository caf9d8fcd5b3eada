"""PiCIE on COCO-Stuff-27: the released recipe.

Paper: Cho et al., PiCIE, CVPR 2021 (sections 3 and 4, table 1).
Command: python tools/train.py configs/picie_fpn_r18_cocostuff.py
Expected (accuracy / mIoU): paper 48.09 / 13.84, released logs 50.35 / 14.99 and 51.53 / 14.79
(fresh centroids), 51.53 / 15.09 (last epoch, view 1). Not run by this project.
The released code takes 13-22 hours on one GPU.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cocostuff27.py',
    './_base_/schedules/picie_10e.py',
]
