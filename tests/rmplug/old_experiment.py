"""An experiment file in the form of the original reward-model analysis, slips of indentation and
all; ``PATH``, ``CKPT`` and ``DATA`` stand for places."""

OLD = """\
model:
  id: my_reward_model
  path: PATH
  ckpt: CKPT
  tokenizer: default
  embedding: default
  norm: default
data:
  id: my_data
  path: DATA
  schema:
    train:
      - row:
        question: question
        answer: answer
  sample: default
    method: first
    n: 24
query:
  id: my_query
  requires:
    - my_reward_model
    - my_data
  entrypoint: RewardModel
  chunk_size: 1
  message:
    roles: default
    unravel: default
  tokenizer:
    truncation: False
    max_length: 64
    padding: max_length
  forward:
    inference: False
    args:
        input_ids: None
        labels: None
        return_dict: True
        output_hidden_states: True
  store:
    - loss
    - chosen_end_scores
    - rejected_end_scores
    - hidden_states
    - tokens
    - embeddings
analyze:
  id: my_analysis
  requires:
    - my_query
  compute:
    - question_length
    - num_words
    - avg_word_length
    - embedding:
      id: my_sentence_embedding
      type: sentence
      path: sentence-transformers/all-MiniLM-L6-v2
  estimators:
    - gbr:
      name: GradientBoostingRegressor
      args:
        n_estimators: 10
        min_samples_leaf: 5
        random_state: 0
        verbose: 1
  predict:
    - loss:
      x: embedding
      estimator: gbr
    - chosen_end_scores:
      x: embedding
      estimator: gbr
  plot:
    - loss:
      - question_length
      - num_words
    - chosen_end_scores:
      - question_length
      - num_words
      - avg_word_length
    - rejected_end_scores:
      - question_length
"""
