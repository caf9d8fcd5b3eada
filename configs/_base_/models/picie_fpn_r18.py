"""PiCIE with ResNet-18 and the summing pyramid (CVPR 2021, section 4.1)."""

model = dict(
    type='PiCIE',
    data_preprocessor=dict(
        type='PairedViewDataPreProcessor',
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        bgr_to_rgb=True,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN'),
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'),
    ),
    neck=dict(type='SumFPN', in_channels=(64, 128, 256, 512), out_channels=128),
    decode_head=dict(type='CentroidHead', num_clusters=27, in_channels=128),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
