"""COCO-Stuff-27, all images of train2017 and val2017 in place of the benchmark's lists."""

_base_ = './cocostuff27.py'

published_images = dict(COCOStuff27Dataset=dict(train=118287, val=5000))
train_dataloader = dict(dataset=dict(ann_file=''))
val_dataloader = dict(dataset=dict(ann_file=''))
test_dataloader = val_dataloader
