"""PiCIE + H, 100 auxiliary clusters, on COCO-Stuff-27 with ResNet-18.

Paper: Cho et al., PiCIE, CVPR 2021; reimplemented, no released code.
Command: python tools/train.py configs/picie-h_fpn_r18_cocostuff.py
Expected (accuracy / mIoU): paper 49.99 / 14.36. Not run by this project.
Reimplemented from the paper; there is no released code of this row.
"""

_base_ = './picie_fpn_r18_cocostuff.py'

# The losses are weighted by the logarithms of the numbers of clusters (head_weights of PiCIE).
model = dict(auxiliary_head=dict(type='CentroidHead', num_clusters=100, in_channels=128))
