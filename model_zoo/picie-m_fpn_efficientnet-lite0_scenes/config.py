augmentations = [
    [
        dict(type='LoadAnnotations'),
    ],
    [
        dict(type='RemapLabels'),
    ],
    [
        dict(size=(
            128,
            192,
        ), type='ResizeCenterCrop'),
    ],
    [
        dict(prob=0.0, type='RandomFlip'),
        dict(prob=1.0, type='RandomFlip'),
    ],
    [
        dict(type='PackSegInputs'),
    ],
]
custom_imports = dict(
    allow_failed_imports=False, imports=[
        'mmseg_picie',
    ])
default_hooks = dict(
    acceleration=dict(type='AccelerationHook'),
    checkpoint=dict(interval=1, type='CheckpointHook'),
    class_map=dict(type='ClusterToClassHook'),
    clustering=dict(
        batch_size=32,
        batches_per_update=1,
        num_clusterings=2,
        num_init_batches=5,
        num_iters=20,
        type='KMeansCentroidHook',
        warm_start=True),
    decoder=dict(type='PrincipalDecoderHook'),
    logger=dict(interval=5, log_metric_by_epoch=True, type='LoggerHook'),
    param_scheduler=dict(type='ParamSchedulerHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    timer=dict(type='IterTimerHook'),
    visualization=dict(draw=True, interval=2, type='MatchedVisualizationHook'))
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True,
    dist_cfg=dict(backend='nccl'),
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
flips = [
    dict(prob=0.0, type='RandomFlip'),
    dict(prob=1.0, type='RandomFlip'),
]
log_level = 'INFO'
log_processor = dict(by_epoch=True)
model = dict(
    backbone=dict(
        features_only=True,
        init_cfg=dict(
            checkpoint='efficientnet-lite0://imagenet', type='Pretrained'),
        model_name='tf_efficientnet_lite0',
        out_indices=(
            1,
            2,
            3,
            4,
        ),
        pretrained=False,
        type='TIMMBackbone'),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=(
            127.5,
            127.5,
            127.5,
        ),
        std=(
            127.5,
            127.5,
            127.5,
        ),
        type='PairedViewDataPreProcessor'),
    decode_head=dict(
        centroids_per_cluster=5,
        in_channels=128,
        num_clusters=9,
        predict_views=(
            1,
            0,
        ),
        type='CentroidHead'),
    neck=dict(
        in_channels=(
            24,
            40,
            112,
            320,
        ), out_channels=128, type='SumFPN'),
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='PiCIE')
optim_wrapper = dict(
    optimizer=dict(fused=True, lr=5e-05, type='Adam'), type='OptimWrapper')
randomness = dict(seed=0)
test_cfg = dict(type='TestLoop')
test_dataloader = dict(
    batch_size=16,
    dataset=dict(
        num_images=80,
        pipeline=[
            dict(imdecode_backend='pillow', type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RemapLabels'),
            dict(size=(
                128,
                192,
            ), type='ResizeCenterCrop'),
            dict(type='PackSegInputs'),
        ],
        scene_seed=1,
        type='SyntheticScenesDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
test_evaluator = dict(type='HungarianIoUMetric')
test_pipeline = [
    dict(imdecode_backend='pillow', type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(size=(
        128,
        192,
    ), type='ResizeCenterCrop'),
    dict(type='PackSegInputs'),
]
train_cfg = dict(max_epochs=3, type='EpochBasedTrainLoop', val_interval=1)
train_dataloader = dict(
    batch_size=16,
    dataset=dict(
        labelled=False,
        num_images=480,
        pipeline=[
            dict(imdecode_backend='pillow', type='LoadImageFromFile'),
            dict(
                base_size=(
                    160,
                    240,
                ),
                photometric=dict(blur_sigma=(
                    0.1,
                    0.5,
                )),
                type='PairedViews',
                view_size=(
                    128,
                    192,
                )),
            dict(type='PackPairedViews'),
        ],
        scene_seed=0,
        type='SyntheticScenesDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EpochKeySampler'))
train_pipeline = [
    dict(imdecode_backend='pillow', type='LoadImageFromFile'),
    dict(
        base_size=(
            160,
            240,
        ),
        photometric=dict(blur_sigma=(
            0.1,
            0.5,
        )),
        type='PairedViews',
        view_size=(
            128,
            192,
        )),
    dict(type='PackPairedViews'),
]
tta_model = dict(type='ViewTTAModel')
tta_pipeline = [
    dict(imdecode_backend='pillow', type='LoadImageFromFile'),
    dict(
        transforms=[
            [
                dict(type='LoadAnnotations'),
            ],
            [
                dict(type='RemapLabels'),
            ],
            [
                dict(size=(
                    128,
                    192,
                ), type='ResizeCenterCrop'),
            ],
            [
                dict(prob=0.0, type='RandomFlip'),
                dict(prob=1.0, type='RandomFlip'),
            ],
            [
                dict(type='PackSegInputs'),
            ],
        ],
        type='TestTimeAug'),
]
val_cfg = dict(type='ValLoop')
val_dataloader = dict(
    batch_size=16,
    dataset=dict(
        num_images=80,
        pipeline=[
            dict(imdecode_backend='pillow', type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RemapLabels'),
            dict(size=(
                128,
                192,
            ), type='ResizeCenterCrop'),
            dict(type='PackSegInputs'),
        ],
        scene_seed=1,
        type='SyntheticScenesDataset'),
    num_workers=2,
    persistent_workers=True,
    sampler=dict(shuffle=False, type='DefaultSampler'))
val_evaluator = dict(type='HungarianIoUMetric')
vis_backends = [
    dict(type='LocalVisBackend'),
]
visualizer = dict(
    alpha=0.6,
    name='visualizer',
    type='SegmentVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
    ])
