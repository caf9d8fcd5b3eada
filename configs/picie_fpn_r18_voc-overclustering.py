"""PiCIE with ResNet-18 on Pascal VOC 2012 by the over-clustering protocol: 500 clusters.

Protocol: Ziegler and Asano, Leopart, CVPR 2022: whole images squashed to 448 x 448, each cluster
takes the class that it covers most. Theirs fits the clusters on val, and scores at 100 x 100
pixels; here they are those of the training, and scored at 448 x 448. Not to be compared with
one-to-one scores.
Command: python tools/train.py configs/picie_fpn_r18_voc-overclustering.py
Not run by this project.
"""

_base_ = './picie_fpn_r18_voc.py'

model = dict(decode_head=dict(num_clusters=500))
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=448, keep_ratio=False),
    dict(type='PackSegInputs'),
]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(matching='many-to-one')
test_evaluator = val_evaluator
