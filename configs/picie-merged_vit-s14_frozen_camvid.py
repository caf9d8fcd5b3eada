"""PiCIE with merged clusters on frozen DINOv2 ViT-S/14 on CamVid, at 224 x 224.

Paper: Cho et al., PiCIE, CVPR 2021. Here each view has 60 centroids, which are learned apart and
merged to 11 clusters by average linkage for the prediction.
Command: python tools/train.py configs/picie-merged_vit-s14_frozen_camvid.py
timm downloads the weights from its hub; model.backbone.weights=FILE takes them from a file.
"""

_base_ = './picie_vit-s14_frozen_camvid.py'

model = dict(decode_head=dict(num_centroids=60))
