"""Linear probe of PiCIE's features on CamVid: a 1x1 convolution learns the labels.

Paper: Cho et al., PiCIE, CVPR 2021.
Command: python tools/train.py configs/linear-probe_fpn_efficientnet-lite0_camvid.py
  --cfg-options model.backbone.init_cfg.checkpoint=CHECKPOINT
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/picie_fpn_efficientnet-lite0.py',
    './_base_/datasets/camvid.py',
    './_base_/schedules/linear_probe.py',
]

model = dict(
    type='EncoderDecoder',
    backbone=dict(
        _delete_=True,
        type='FrozenEncoder',
        backbone=_base_.model.backbone,
        neck=_base_.model.neck,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/picie_fpn_efficientnet-lite0_camvid/epoch_3.pth',
        ),
    ),
    neck=None,
    decode_head=dict(
        _delete_=True,
        type='FCNHead',
        in_channels=128,
        channels=128,
        in_index=0,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=11,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
)
train_dataloader = dict(
    dataset=dict(
        data_prefix=dict(seg_map_path='annotations/train'),
        # Labelled images as they are evaluated, flipped at random.
        pipeline=[
            dict(type='LoadImageFromFile', imdecode_backend='pillow'),
            dict(type='LoadAnnotations'),
            dict(type='RemapLabels'),
            dict(type='ResizeCenterCrop', size=160),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )
)
val_evaluator = dict(_delete_=True, type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
