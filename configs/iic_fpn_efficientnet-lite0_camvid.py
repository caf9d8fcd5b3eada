"""Invariant information clustering (IIC), segmentation form, on CamVid with EfficientNet-Lite0.

Paper: Ji et al., Invariant Information Clustering, ICCV 2019 (section 3.3).
Command: python tools/train.py configs/iic_fpn_efficientnet-lite0_camvid.py
"""

_base_ = './picie_fpn_efficientnet-lite0_camvid.py'

model = dict(decode_head=dict(_delete_=True, type='IICHead', num_clusters=11, in_channels=128))
