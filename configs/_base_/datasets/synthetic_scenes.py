"""Scenes drawn from a seed: no files, no download."""

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(
        type='PairedViews',
        base_size=(160, 240),
        view_size=(128, 192),
        # The recipe's is for images of 640 pixels; these are a quarter of that.
        photometric=dict(blur_sigma=(0.1, 0.5)),
    ),
    dict(type='PackPairedViews'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='LoadAnnotations'),
    dict(type='RemapLabels'),
    dict(type='ResizeCenterCrop', size=(128, 192)),
    dict(type='PackSegInputs'),
]
flips = [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)]
augmentations = [*([step] for step in test_pipeline[1:-1]), flips, test_pipeline[-1:]]
tta_pipeline = [test_pipeline[0], dict(type='TestTimeAug', transforms=augmentations)]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EpochKeySampler'),
    dataset=dict(
        type='SyntheticScenesDataset',
        num_images=480,
        scene_seed=0,
        labelled=False,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SyntheticScenesDataset', num_images=80, scene_seed=1, pipeline=test_pipeline
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='HungarianIoUMetric')
test_evaluator = val_evaluator
