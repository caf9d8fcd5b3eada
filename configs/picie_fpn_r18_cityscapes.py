"""PiCIE on Cityscapes-27: the released recipe.

Paper: Cho et al., PiCIE, CVPR 2021 (sections 3 and 4).
Command: python tools/train.py configs/picie_fpn_r18_cityscapes.py
Expected (accuracy / mIoU): paper 65.50 / 12.31, released log 63.96 / 11.78 (last epoch, view 1;
mIoU of its best epoch 12.03). Not run by this project.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_r18.py',
    './_base_/datasets/cityscapes27.py',
    './_base_/schedules/picie_10e.py',
]

optim_wrapper = dict(optimizer=dict(lr=1e-3))
