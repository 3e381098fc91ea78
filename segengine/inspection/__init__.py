"""Before training: what a folder of images and masks holds, a first experiment file, and the machine."""
