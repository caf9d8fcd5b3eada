"""PiCIE + H, 100 auxiliary clusters, on Cityscapes-27 at 256 x 256 with EfficientNet-Lite0.

Paper: Cho et al., PiCIE, CVPR 2021; reimplemented, no released code.
Command: python tools/train.py configs/picie-h_fpn_efficientnet-lite0_cityscapes256.py
"""

_base_ = './picie_fpn_efficientnet-lite0_cityscapes256.py'

# The losses are weighted by the logarithms of the numbers of clusters (head_weights of PiCIE).
model = dict(auxiliary_head=dict(type='CentroidHead', num_clusters=100, in_channels=128))
