"""Invariant information clustering (IIC), segmentation form, on Cityscapes-27 at 256 x 256.

Paper: Ji et al., Invariant Information Clustering, ICCV 2019 (section 3.3).
Command: python tools/train.py configs/iic_fpn_efficientnet-lite0_cityscapes256.py
"""

_base_ = './picie_fpn_efficientnet-lite0_cityscapes256.py'

model = dict(decode_head=dict(_delete_=True, type='IICHead', num_clusters=27, in_channels=128))
