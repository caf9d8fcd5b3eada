"""Make ImageNet-S-50: imagenet_s50.py IMAGENET SEGMENTATION OUT [options]."""

from picie_command import main

if __name__ == '__main__':
    main('convert imagenet-s50')
