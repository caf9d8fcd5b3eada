"""ImageNet-S-50 at 224 x 224 (docs/datasets.md says how to get it).

The paper of PiCIE has views of 320 pixels; 224 is this project's choice, as ImageNet's objects fill
the image and backbones start from weights that were trained at that size.
"""

data_root = 'data/ImageNetS50'
published_images = dict(ImageNetS50Dataset=dict(train=64431, val=752))

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=448, view_size=224),
    dict(type='PackPairedViews'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadRGAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=224),
    dict(type='PackSegInputs'),
]
flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
augmentations = [*([step] for step in test_pipeline[1:-1]), flips, test_pipeline[-1:]]
tta_pipeline = [test_pipeline[0], dict(type='TestTimeAug', transforms=augmentations)]
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='EpochKeySampler'),
    dataset=dict(
        type='ImageNetS50Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageNetS50Dataset',
        data_root=data_root,
        data_prefix=dict(img_path='validation', seg_map_path='validation-segmentation'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
# The benchmark matches by images; the match of pixels stands beside it.
val_evaluator = dict(type='HungarianIoUMetric', matching=('image-level', 'one-to-one'))
test_evaluator = val_evaluator
