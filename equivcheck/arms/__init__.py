"""The two arms as live Keras objects, built as users build them. TensorFlow is imported here and behind."""
