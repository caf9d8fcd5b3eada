"""Invariant information clustering (IIC), segmentation form, on Cityscapes-27 with ResNet-18.

Paper: Ji et al., Invariant Information Clustering, ICCV 2019 (section 3.3).
Command: python tools/train.py configs/iic_fpn_r18_cityscapes.py
Expected (accuracy / mIoU): paper 47.88 / 6.35. Not run by this project.
"""

_base_ = './picie_fpn_r18_cityscapes.py'

model = dict(decode_head=dict(_delete_=True, type='IICHead', num_clusters=27, in_channels=128))
