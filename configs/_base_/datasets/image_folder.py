"""A folder of images without annotations, nested or flat; nothing is validated."""

train_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='PairedViews', base_size=320, view_size=160),
    dict(type='PackPairedViews'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', imdecode_backend='pillow'),
    dict(type='ResizeCenterCrop', size=160),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='EpochKeySampler'),
    dataset=dict(type='ImageFolderDataset', data_root='data/images', pipeline=train_pipeline),
)
