"""Cityscapes-27, trained on train and evaluated on val."""

_base_ = './cityscapes27.py'

published_images = dict(Cityscapes27Dataset=dict(train=2975, val=500))
train_dataloader = dict(dataset=dict(splits=('train',)))
val_dataloader = dict(dataset=dict(splits=('val',)))
test_dataloader = val_dataloader
