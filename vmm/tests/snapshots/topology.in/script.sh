not an image
