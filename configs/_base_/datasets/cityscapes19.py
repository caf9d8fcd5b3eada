"""Cityscapes in its own 19 classes, trained on train and evaluated on val."""

_base_ = './cityscapes27_standard.py'

published_images = dict(Cityscapes19Dataset=dict(train=2975, val=500))
train_dataloader = dict(dataset=dict(type='Cityscapes19Dataset'))
val_dataloader = dict(dataset=dict(type='Cityscapes19Dataset'))
test_dataloader = val_dataloader
